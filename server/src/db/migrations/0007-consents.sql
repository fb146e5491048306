-- What a creator was shown and may sign; consumed by acceptance, closed by the sweep.
create table consent_draft (
  jti text primary key,
  creator_id text not null references creator (creator_id),
  signer text not null check (signer in ('creator', 'platform')),
  signing_input text not null,
  words text not null,
  status_list bigint not null,
  status_idx integer not null,
  evidence text,
  created_at bigint not null,
  expires_at bigint not null,
  state text not null check (state in ('open', 'accepted', 'closed'))
);
create index consent_draft_open on consent_draft (expires_at) where state = 'open';

create table consent (
  jti text primary key references consent_draft (jti),
  creator_id text not null references creator (creator_id),
  subject text not null,
  license text not null,
  kid text not null,
  signed_by text not null check (signed_by in ('creator', 'platform')),
  token text not null,
  claims text not null,
  acceptance text not null,
  status_list bigint not null,
  status_idx integer not null,
  issued_at bigint not null,
  expires_at bigint not null,
  accepted_at bigint not null,
  state text not null check (state in ('active', 'revoked', 'suspended', 'expired')),
  ended_at bigint,
  reason text
);
create index consent_by_creator on consent (creator_id, jti);
create index consent_expiring on consent (expires_at) where state in ('active', 'suspended');
