-- Every authenticated call, by month. The partitions are made ahead and dropped whole by the server.
create table interaction (
  at_ms bigint not null,
  request_id text not null,
  caller_kind text not null check (caller_kind in ('operator', 'platform', 'marketplace', 'creator')),
  client_id text,
  marketplace_id text,
  creator_id text,
  method text not null,
  route text not null,
  dataset_id text,
  dataset_version integer,
  status integer not null,
  code text,
  duration_ms integer not null,
  primary key (at_ms, request_id)
) partition by range (at_ms);
create index interaction_by_dataset on interaction (dataset_id, at_ms, request_id);
create index interaction_by_client on interaction (client_id, at_ms, request_id);
create index interaction_by_marketplace on interaction (marketplace_id, at_ms, request_id);
