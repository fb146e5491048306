-- Who gets a license of a dataset, and on what terms. Without a row every request waits for a person.
create table license_policy (
  dataset_id text primary key references dataset (dataset_id),
  mode text not null check (mode in ('automatic', 'rule', 'manual')),
  -- What the mode rule says yes to.
  rule text,
  -- The name of the agreement whose newest version must be accepted.
  agreement text not null,
  max_term_days integer not null,
  spend_cap_micros numeric(38, 0) check (spend_cap_micros >= 0),
  is_renewable boolean not null,
  updated_at bigint not null,
  updated_by text not null
);

create table license_request (
  request_id text primary key,
  dataset_id text not null references dataset (dataset_id),
  marketplace_id text not null references marketplace (marketplace_id),
  model_id text not null,
  model_fingerprint text not null,
  base_fingerprint text,
  scope text not null,
  term_days integer,
  spend_cap_micros numeric(38, 0) check (spend_cap_micros >= 0),
  -- The key the tokens will be bound to; null for plain bearer tokens.
  jkt text,
  note text,
  state text not null check (state in ('pending', 'approved', 'denied')),
  requested_at bigint not null,
  decided_at bigint,
  decided_by text,
  reason text,
  license_id text
);
create unique index license_request_waiting on license_request (dataset_id, marketplace_id, model_fingerprint, scope) where state = 'pending';
create index license_request_by_dataset on license_request (dataset_id, request_id);
create index license_request_by_marketplace on license_request (marketplace_id, request_id);

create table license (
  license_id text primary key,
  dataset_id text not null,
  -- It holds for this version and later ones.
  dataset_version integer not null,
  marketplace_id text not null references marketplace (marketplace_id),
  model_id text not null,
  model_fingerprint text not null,
  base_fingerprint text,
  scope text not null,
  price text not null,
  currency text not null,
  -- The terms of the works, as in paid_training:1.0.
  terms text not null,
  agreement text not null references agreement (agreement),
  jkt text,
  status_list bigint not null,
  status_idx integer not null,
  state text not null check (state in ('active', 'revoked', 'expired')),
  issued_at bigint not null,
  issued_by text not null,
  expires_at bigint not null,
  renewed_at bigint,
  is_renewable boolean not null,
  ended_at bigint,
  ended_by text,
  reason text,
  request_id text references license_request (request_id),
  spend_cap_micros numeric(38, 0) check (spend_cap_micros >= 0),
  -- Kept by the receipts: what was reported under it, what that costs, and when that went over the cap.
  units_reported numeric(38, 0) not null default 0,
  charged_micros numeric(38, 0) not null default 0,
  over_cap_at bigint,
  foreign key (dataset_id, dataset_version) references dataset_version (dataset_id, version)
);
create unique index license_standing on license (dataset_id, marketplace_id, model_fingerprint, scope, price, currency, terms) where state = 'active';
create unique index license_status on license (status_list, status_idx);
create index license_by_dataset on license (dataset_id, license_id);
create index license_by_marketplace on license (marketplace_id, license_id);
create index license_by_model on license (model_fingerprint, license_id);
create index license_by_base on license (base_fingerprint, license_id) where base_fingerprint is not null;
create index license_due on license (expires_at) where state = 'active';

-- Whose model a fingerprint is: the first marketplace's that got a license to train it.
create table licensed_model (
  model_fingerprint text primary key,
  marketplace_id text not null references marketplace (marketplace_id),
  model_id text not null,
  first_licensed_at bigint not null
);
call keep_append_only('licensed_model');

-- The origins a version's works are at, read once: a version never changes.
create table version_origins (
  dataset_id text not null,
  version integer not null,
  origins text not null,
  primary key (dataset_id, version),
  foreign key (dataset_id, version) references dataset_version (dataset_id, version)
);
call keep_append_only('version_origins');
