-- A list grows by revisions: each change of its statuses is one. Its row is the lock for that.
create table status_list (
  list bigint primary key,
  revision bigint not null default 0
);

-- Every index ever given out: random, unique, never used again. Status: 0 valid, 1 revoked, 2 suspended.
create table status_index (
  list bigint not null references status_list (list),
  idx integer not null,
  status smallint not null default 0,
  -- The revision of the list that last changed the status; 0 while it never was.
  revision bigint not null default 0,
  primary key (list, idx)
);
create index status_index_changes on status_index (list, revision) where revision > 0;
