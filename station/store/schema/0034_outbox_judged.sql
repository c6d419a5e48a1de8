-- By the rules of which version of OCPP the payload has been judged as it stands ('': by none), so that a long queue leaves
-- without being rendered and judged once more. The word of an earlier run is not taken: it may have been another
-- agent's, or one with other limits. A factory reset keeps the queue, and this with it.
ALTER TABLE outbox ADD COLUMN judged TEXT NOT NULL DEFAULT '';
