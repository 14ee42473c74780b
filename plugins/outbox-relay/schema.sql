-- What is to be told to others, written in the transaction that it tells of.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload text NOT NULL,
    relayed_by bigint  -- the fencing token of the leader that has relayed it
);

-- The greatest fencing token of all leaders: one row.
CREATE TABLE relay (token bigint NOT NULL);
INSERT INTO relay VALUES (0);

-- Puts something into the outbox. Its transactions commit one after the other, so that no id appears below one that the
-- relay has passed already.
CREATE FUNCTION enqueue(payload text) RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock('outbox'::regclass::bigint);
    INSERT INTO outbox (payload) VALUES ($1) RETURNING id;
$$;
