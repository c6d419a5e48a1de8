/* A slot that takes no more than so many bytes for now, for whoever is told so by LD_PRELOAD: what FILE holds, if it is
 * there. What lies in memory is written before anybody could cut the power in between.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE "/var/lib/copies/takes"
#define LARGE 4096
#define LOOK_US 10000

static long most(void)
{
    char text[32] = "";
    int file = open(FILE, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? atol(text) : 0;
}

ssize_t write(int file, const void *data, size_t size)
{
    long takes;
    if (size >= LARGE)
        while ((takes = most()) > 0 && lseek(file, 0, SEEK_CUR) >= takes)
            usleep(LOOK_US);
    return syscall(SYS_write, file, data, size);
}
