-- What facts refused, until it is in the journal beside the backups. The serial is given while the
-- rows of the fact are locked, so that it orders the facts about one thing on every server.
create table journal_entry (
  serial bigint generated always as identity primary key,
  at_ms bigint not null,
  entry text not null
);

-- The entries of a journal that a restore dealt with: another restore does not do it again.
create table journal_replayed (serial bigint primary key);

-- What was restored when: nothing that is numbered may begin below `first_seq` again.
create table restore (
  first_seq bigint primary key,
  backup_id text not null,
  taken_at bigint not null,
  restored_at bigint not null
);

-- The versions of datasets that were published after the backup and are lost: their numbers are used up.
create table lost_version (
  dataset_id text primary key,
  version integer not null
);
