-- Points used of each token bucket, shared by all servers of this database. What is lost in a crash
-- of the database is a count of requests, so it is not worth a write-ahead log.
create unlogged table rate_limit (
  key text primary key,
  points integer not null,
  expire bigint
);
create index rate_limit_by_expiry on rate_limit (expire);

-- Requests that named an Idempotency-Key: which bytes it stands for, who is at it, and the sealed answer.
create table idempotency_key (
  caller text not null,
  route text not null,
  key text not null,
  request_sha256 text not null,
  created_at_ms bigint not null,
  holder text not null,
  held_until_ms bigint not null,
  status integer,
  sealed_answer bytea,
  primary key (caller, route, key),
  check ((status is null) = (sealed_answer is null))
);
create index idempotency_key_by_age on idempotency_key (created_at_ms);
