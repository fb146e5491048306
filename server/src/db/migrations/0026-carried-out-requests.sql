-- When the request committed a fact, written by the fact itself: it is not carried out again although
-- its answer was lost in a crash.
alter table idempotency_key add column carried_out_at_ms bigint;
