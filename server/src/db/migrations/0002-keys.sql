create table signing_key (
  kid text primary key,
  purpose text not null check (purpose in ('consent', 'document', 'webhook', 'license', 'receipt')),
  alg text not null,
  public_jwk text not null,
  sealed_jwk bytea not null,
  status text not null check (status in ('active', 'retired', 'revoked')),
  not_before bigint not null,
  not_after bigint not null,
  revoked_at bigint,
  compromised_since bigint
);
create unique index signing_key_one_active on signing_key (purpose) where status = 'active';
