create table usage_receipt (
  receipt_id text not null,
  marketplace_id text not null references marketplace (marketplace_id),
  dataset_id text not null,
  dataset_version integer not null,
  nonce text not null,
  sha256 text not null,
  model_id text not null,
  model_fingerprint text not null,
  unit text not null,
  units bigint not null,
  receipt text not null,
  accepted_at bigint not null,
  sequence bigint generated always as identity,
  primary key (marketplace_id, receipt_id),
  unique (marketplace_id, nonce),
  foreign key (dataset_id, dataset_version) references dataset_version (dataset_id, version)
);
create index usage_receipt_by_dataset on usage_receipt (dataset_id, sequence);
call keep_append_only('usage_receipt');
create index usage_receipt_by_id on usage_receipt (receipt_id);
create index usage_receipt_by_marketplace on usage_receipt (marketplace_id, sequence);
create index usage_receipt_by_sequence on usage_receipt (sequence);
