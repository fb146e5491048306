-- Works that a published dataset holds or held, under the one spelling of their address.
create table content_status (
  content_id text primary key references content_item (content_id),
  url text not null,
  url_sha256 text not null
);
create index content_status_by_url on content_status (url_sha256);

-- Datasets whose works' content statuses are to be rendered, and how far that is.
create table content_status_order (
  dataset_id text primary key references dataset (dataset_id),
  -- Rises with each order: whoever renders for an older one begins anew.
  generation integer not null default 1,
  -- The last work that is rendered, in the order of their ids.
  after_content_id text not null default '',
  ordered_at_ms bigint not null,
  -- Who renders holds it until then.
  lease_until_ms bigint not null default 0
);

-- Works of a dataset in the order of their ids, whichever versions hold them.
create index dataset_item_in_dataset on dataset_item (dataset_id, content_id, version);
create index document_content_status on document (expires_at) where kind = 'content-status';

insert into content_status_order (dataset_id, ordered_at_ms)
select dataset_id, created_at * 1000 from dataset where current_version > 0;
