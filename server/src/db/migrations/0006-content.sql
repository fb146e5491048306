create table content_item (
  content_id text primary key,
  creator_id text not null references creator (creator_id),
  canonical_url text not null,
  sha256 text not null,
  mime_type text not null,
  registered_at bigint not null,
  revision integer not null,
  status_list bigint not null,
  status_idx integer not null,
  withdrawn_at bigint,
  -- The canonical JSON of the item as it is registered now: what a dataset pins.
  record text not null
);
create unique index content_item_without_case on content_item (lower(content_id));
create unique index content_item_by_url on content_item (canonical_url);
create index content_item_by_creator on content_item (creator_id, content_id);

create table content_revision (
  content_id text not null references content_item (content_id),
  revision integer not null,
  sha256 text not null,
  record text not null,
  registered_at bigint not null,
  primary key (content_id, revision)
);
call keep_append_only('content_revision');
