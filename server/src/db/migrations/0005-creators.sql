create table creator (
  creator_id text primary key,
  -- What events call the creator: it says nothing about the person.
  aggregate text not null unique,
  created_at bigint not null
);
create unique index creator_without_case on creator (lower(creator_id));

-- The keys creators sign with.
create table creator_key (
  kid text primary key,
  creator_id text not null references creator (creator_id),
  alg text not null,
  public_jwk text not null,
  not_before bigint not null,
  not_after bigint not null,
  revoked_at bigint,
  compromised_since bigint
);
create index creator_key_by_creator on creator_key (creator_id);

create table key_challenge (
  challenge text primary key,
  creator_id text not null references creator (creator_id),
  expires_at bigint not null
);
