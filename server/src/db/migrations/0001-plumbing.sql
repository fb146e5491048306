-- A table that only ever grows: the database itself refuses to change or delete what is there.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'table % is append-only: % refused', tg_table_name, tg_op using errcode = 'integrity_constraint_violation';
end $$;

create procedure keep_append_only(target regclass) language plpgsql as $$
begin
  execute format('create trigger append_only before update or delete on %s for each row execute function refuse_change()', target);
  execute format('create trigger append_only_truncate before truncate on %s for each statement execute function refuse_change()', target);
end $$;

-- Facts, without persons: what happened, when, to what, and a commitment to the body.
create table event (
  id text primary key,
  type text not null,
  at_ms bigint not null,
  aggregate text not null,
  commitment bytea not null check (octet_length(commitment) = 32)
);
create index event_by_aggregate on event (aggregate, id);
call keep_append_only('event');

-- The bodies, which privacy may erase; the salt goes with them, so that nothing can be guessed back.
create table event_body (
  event_id text primary key references event (id),
  salt bytea not null check (octet_length(salt) = 32),
  body text not null
);

-- Events that the transparency log has not taken over yet.
create table unlogged_event (
  event_id text primary key references event (id)
);

-- What workers still have to do: written with the fact, deleted when it is done. Jobs only wake them.
create table unhandled_event (
  queue text not null,
  event_id text not null references event (id),
  at_ms bigint not null,
  primary key (queue, event_id)
);
create index unhandled_event_by_age on unhandled_event (queue, at_ms);

-- The current bytes of each signed public document, and what they were rendered from.
create table document (
  path text primary key,
  seq bigint not null,
  kind text not null default '',
  content text not null default '',
  bytes bytea,
  etag text not null default '',
  content_type text not null default '',
  cache_control text not null default '',
  cache_tag text not null default '',
  checked_at bigint,
  expires_at bigint
);
create index document_by_expiry on document (expires_at) where expires_at is not null;

-- Who may call: OAuth clients and opaque session tokens.
create table oauth_client (
  client_id text primary key,
  kind text not null check (kind in ('platform', 'marketplace')),
  name text not null,
  marketplace_id text,
  scope text not null,
  sealed_secret bytea not null,
  created_at bigint not null
);

create table oauth_record (
  model text not null,
  id text not null,
  payload text not null,
  expires_at bigint,
  primary key (model, id)
);
create index oauth_record_by_expiry on oauth_record (expires_at);

create table oauth_key (
  kid text primary key,
  sealed_jwk bytea not null,
  created_at bigint not null
);

create table session_token (
  token_sha256 text primary key,
  kind text not null check (kind in ('operator', 'creator')),
  creator_id text,
  created_at bigint not null,
  expires_at bigint
);
create index session_token_by_expiry on session_token (expires_at);
