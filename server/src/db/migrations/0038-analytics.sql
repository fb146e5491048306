-- Usage by day: receipts and units added up from receipts, what it cost from the ledger. Kept by one worker.
create table usage_rollup (
  -- In UTC: of the receipt's acceptance, and for money the day that the ledger counts it for.
  day date not null,
  dataset_id text not null,
  dataset_version integer not null,
  model_fingerprint text not null,
  model_id text not null,
  marketplace_id text not null,
  -- What receipts count in; flat for fees of licenses, compensation for compensations: money without receipts.
  unit text not null,
  currency text not null,
  receipts bigint not null,
  units numeric(38, 0) not null,
  charged_micros numeric(38, 0) not null,
  primary key (day, dataset_id, dataset_version, model_fingerprint, model_id, marketplace_id, unit, currency)
);
create index usage_rollup_by_dataset on usage_rollup (dataset_id, day);
create index usage_rollup_by_marketplace on usage_rollup (marketplace_id, day);
create index usage_rollup_by_model on usage_rollup (model_fingerprint, day);

-- What creators got by day: shares of pools and compensations, less what was taken back. Not payouts.
create table earning_rollup (
  day date not null,
  creator_id text not null,
  dataset_id text not null,
  currency text not null,
  amount_micros numeric(38, 0) not null,
  primary key (day, creator_id, dataset_id, currency)
);
create index earning_rollup_by_creator on earning_rollup (creator_id, day);
create index earning_rollup_by_dataset on earning_rollup (dataset_id, day);

-- How far both are counted: one row, held by whoever counts.
create table rollup_progress (
  id integer primary key check (id = 1),
  receipt_sequence bigint not null,
  ledger_sequence bigint not null,
  counted_at bigint not null,
  rebuilt_at bigint
);
