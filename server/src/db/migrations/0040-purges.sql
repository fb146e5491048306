-- What is to be thrown out of caches for an event, and fetched anew by edges: at most a hundred tags,
-- URLs and paths in each part, so that every part fits one call.
create table purge_order (
  event_id text not null references event (id),
  part integer not null,
  -- When the event happened.
  at_ms bigint not null,
  tags text[] not null,
  urls text[] not null,
  paths text[] not null,
  primary key (event_id, part)
);
create index purge_order_by_age on purge_order (at_ms);

-- A part at one target, once (round 1) and again for a cache fill that was in flight (round 2).
create table purge (
  event_id text not null,
  part integer not null,
  target text not null,
  round smallint not null check (round in (1, 2)),
  leg text not null check (leg in ('purge', 'edge')),
  attempts integer not null default 0,
  -- When it may be sent; while it is under way, when somebody else may send it.
  due_at_ms bigint not null,
  -- When it was first sent.
  requested_at_ms bigint,
  confirmed_at_ms bigint,
  -- When it was given up: caches have forgotten by themselves long before.
  given_up_at_ms bigint,
  last_error text,
  -- A call that it shared was refused: it is sent by itself.
  is_alone boolean not null default false,
  primary key (event_id, part, target, round),
  foreign key (event_id, part) references purge_order (event_id, part)
);
create index purge_due on purge (target, round, due_at_ms) where confirmed_at_ms is null and given_up_at_ms is null;
create index purge_late on purge (target, requested_at_ms)
  where confirmed_at_ms is null and given_up_at_ms is null and attempts > 0;
create index purge_newest on purge (event_id desc, part, target, round);

-- Every target that was ever asked for anything.
create table purge_target (
  target text primary key,
  leg text not null check (leg in ('purge', 'edge')),
  -- When the operator was told that something it was asked for is late.
  warned_at_ms bigint,
  last_confirmed_at_ms bigint
);

-- What an account may still send, for all servers together; a crash may lose it.
create unlogged table purge_meter (
  account text primary key,
  calls double precision not null,
  urls double precision not null,
  metered_at_ms bigint not null,
  -- The provider asked to be left alone until then.
  paused_until_ms bigint not null default 0
);

-- The number of the last refresh that was sent to any edge; what a crash loses, the clock is above.
create unlogged table edge_refresh_seq (
  id smallint primary key check (id = 1),
  seq bigint not null
);
