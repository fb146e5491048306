-- Batches that edges sent, so that one that is sent again counts once. Kept for some days.
create table edge_batch (
  client_id text not null,
  batch_key text not null,
  sha256 text not null,
  received_at_ms bigint not null,
  accepted integer not null,
  -- The refused lines of the answer, as JSON.
  refused text not null,
  primary key (client_id, batch_key)
);
create index edge_batch_by_time on edge_batch (received_at_ms);

-- What edges decided about requests of machines, by the month in which they said so. The partitions
-- are made ahead and dropped whole by the server. No address of a visitor, and no URL but its hash.
create table edge_event (
  received_at_ms bigint not null,
  client_id text not null,
  batch_key text not null,
  line integer not null,
  at_ms bigint not null,
  url_sha256 text not null,
  content_id text,
  dataset_id text,
  license_id text,
  marketplace_id text,
  agent_kind text not null,
  agent_name text not null,
  decision text not null check (decision in ('pass', 'refuse')),
  code text,
  mode text not null check (mode in ('observe', 'enforce')),
  primary key (received_at_ms, client_id, batch_key, line)
) partition by range (received_at_ms);
create index edge_event_licensed on edge_event (license_id, at_ms) where license_id is not null and decision = 'pass';
