create table dataset (
  dataset_id text primary key,
  name text not null,
  state text not null check (state in ('draft', 'active', 'partially_revoked', 'suspended', 'revoked', 'expired')),
  current_version integer not null,
  status_list bigint not null,
  status_idx integer not null,
  -- What was asked for while it is a draft.
  draft text,
  created_at bigint not null
);
create unique index dataset_without_case on dataset (lower(dataset_id));

create table dataset_version (
  dataset_id text not null references dataset (dataset_id),
  version integer not null,
  manifest text not null,
  manifest_sha256 text not null,
  -- SHA-256 of what was asked for, so that the same content again is the same version.
  content_sha256 text not null,
  items_count integer not null,
  items_root text not null,
  consents_count integer not null,
  published_at bigint not null,
  primary key (dataset_id, version)
);
call keep_append_only('dataset_version');

create table dataset_item (
  dataset_id text not null,
  version integer not null,
  position integer not null,
  content_id text not null,
  creator_id text not null,
  jti text not null,
  item text not null,
  leaf_hash text not null,
  primary key (dataset_id, version, position),
  foreign key (dataset_id, version) references dataset_version (dataset_id, version)
);
create index dataset_item_by_content on dataset_item (content_id);
create index dataset_item_by_creator on dataset_item (creator_id, dataset_id);
call keep_append_only('dataset_item');

create table dataset_consent (
  dataset_id text not null,
  version integer not null,
  position integer not null,
  jti text not null,
  primary key (dataset_id, version, position),
  foreign key (dataset_id, version) references dataset_version (dataset_id, version)
);
create index dataset_consent_by_jti on dataset_consent (jti);
call keep_append_only('dataset_consent');

create table dataset_offer (
  dataset_id text not null references dataset (dataset_id),
  marketplace_id text not null references marketplace (marketplace_id),
  offered_at bigint not null,
  state text not null check (state in ('pending', 'registered', 'refused')),
  registered_at bigint,
  attempts integer not null default 0,
  next_attempt_at_ms bigint,
  last_error text,
  primary key (dataset_id, marketplace_id)
);
create index dataset_offer_pending on dataset_offer (next_attempt_at_ms) where state = 'pending';
create index dataset_offer_by_marketplace on dataset_offer (marketplace_id);
