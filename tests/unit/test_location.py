"""URLs of files: taken apart, refused, and shown without what nobody should read."""

from __future__ import annotations

import pytest

from station.location import BadLocation, Location, located


@pytest.mark.parametrize(
    "url, expected",
    [
        ("http://a.example", Location("http", "a.example", 80, "/")),
        ("https://u:p%40q@a.example:8443/x%20y?t=1", Location("https", "a.example", 8443, "/x%20y?t=1", "u", "p@q")),
        ("https://u:p@d@csms.example/logs", Location("https", "csms.example", 443, "/logs", "u", "p@d")),
        ("ftp://u@[::1]/x%20y", Location("ftp", "::1", 21, "/x y", "u")),
        ("FTPS://A.example/", Location("ftps", "a.example", 21, "/")),
        ("sftp://a.example:2222/~/x", Location("sftp", "a.example", 2222, "/~/x")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Location) -> None:
    assert located(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "gopher://a.example/",
        "http://",
        "http:///x",
        "ftp://user@/x",
        "http://a.example:99999/",
        "http://a.example:x/",
        "http://[::1/",
        "http://a.example/a b",
        "http://a.example/a\r\nHost: other",
        "http://a.example/\N{SNOWMAN}",
        "ftp://a.example/x%0d%0aDELE%20y",
        "ftp://u%00:p@a.example/",
        "ftp://u:p%0aX@a.example/",
        "http://a.example/" + "x" * 3000,
    ],
)
def test_what_cannot_be_used_is_refused_without_being_cited(url: str) -> None:
    with pytest.raises(BadLocation) as caught:
        located(url)

    assert url not in str(caught.value) or not url


def test_nobody_is_shown_a_secret() -> None:
    """Neither the password nor the signature of a link."""
    shown = located("https://user:secret@a.example:8443/logs?X-Signature=abc").shown

    assert shown == "https://a.example:8443/logs"
