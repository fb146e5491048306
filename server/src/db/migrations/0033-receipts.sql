-- What acceptance made of a receipt. Those from before there were licenses have none, and cost nothing.
alter table usage_receipt
  add column license_id text references license (license_id),
  -- Names between spaces, as the countersignature says them; empty when there is nothing to say.
  add column flags text not null default '',
  add column charged_micros numeric(38, 0) not null default 0 check (charged_micros >= 0),
  add column currency text,
  -- True when the platform asked for it; false when the marketplace handed it in.
  add column pulled boolean not null default false,
  add column period_from bigint,
  add column period_to bigint;
-- A new type rewrites the rows, which nobody may update.
alter table usage_receipt
  alter column period_from type bigint using extract(epoch from (receipt::json->'period'->>'from')::timestamptz)::bigint,
  alter column period_to type bigint using extract(epoch from (receipt::json->'period'->>'to')::timestamptz)::bigint;
alter table usage_receipt
  alter column period_from set not null,
  alter column period_to set not null;

create index usage_receipt_by_model on usage_receipt (model_fingerprint, sequence);
create index usage_receipt_by_license on usage_receipt (license_id, sequence);
-- Periods of one license and unit do not overlap: the one that begins last before an instant is the one to look at.
create index usage_receipt_by_period on usage_receipt (license_id, unit, period_from) where period_to > period_from;
create index usage_receipt_by_instant on usage_receipt (license_id, unit, period_from) where period_to = period_from;

-- How far a marketplace's receipts for a dataset were read.
create table receipt_pull (
  marketplace_id text not null references marketplace (marketplace_id),
  dataset_id text not null references dataset (dataset_id),
  -- What the marketplace called the end of the last page that it had a next one for; null at the beginning.
  cursor text,
  last_at bigint,
  last_error text,
  -- Failures one after the other, which make the waits grow.
  failures integer not null default 0,
  next_at_ms bigint not null,
  primary key (marketplace_id, dataset_id)
);
create index receipt_pull_due on receipt_pull (next_at_ms);
