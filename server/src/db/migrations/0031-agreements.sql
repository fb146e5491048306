-- What a marketplace accepts before its first license: one authoritative text for each version.
create table agreement (
  -- name:major.minor, as in marketplace:1.0
  agreement text primary key,
  name text not null,
  major integer not null,
  minor integer not null,
  title text not null,
  body text not null,
  sha256 text not null,
  published_at bigint not null
);
create unique index agreement_versions on agreement (name, major, minor);
call keep_append_only('agreement');

create table agreement_acceptance (
  marketplace_id text not null references marketplace (marketplace_id),
  agreement text not null references agreement (agreement),
  kid text not null,
  accepted_by text not null,
  -- When it came; what the marketplace itself says is in the document.
  accepted_at bigint not null,
  document text not null,
  primary key (marketplace_id, agreement)
);
create index agreement_acceptance_by_agreement on agreement_acceptance (agreement, marketplace_id);
call keep_append_only('agreement_acceptance');
