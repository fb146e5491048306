create table marketplace (
  marketplace_id text primary key,
  name text not null,
  base_url text not null,
  sealed_platform_token bytea,
  created_at bigint not null
);
create unique index marketplace_without_case on marketplace (lower(marketplace_id));

create table receipt_key (
  kid text primary key,
  marketplace_id text not null references marketplace (marketplace_id),
  alg text not null,
  public_jwk text not null,
  not_before bigint not null,
  not_after bigint not null,
  revoked_at bigint
);
create index receipt_key_by_marketplace on receipt_key (marketplace_id);

-- Where a marketplace listens. The secret is shared, so it is sealed, not hashed.
create table webhook_endpoint (
  endpoint_id text primary key,
  marketplace_id text not null references marketplace (marketplace_id),
  url text not null,
  sealed_secret bytea not null,
  created_at bigint not null,
  disabled_at bigint
);
create index webhook_endpoint_by_marketplace on webhook_endpoint (marketplace_id);
