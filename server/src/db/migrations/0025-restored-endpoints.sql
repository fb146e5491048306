-- A restore disables endpoints whose secret or URL was changed after its backup.
alter table webhook_endpoint drop constraint webhook_endpoint_disabled_reason_check;
alter table webhook_endpoint
  add constraint webhook_endpoint_disabled_reason_check
  check (disabled_reason in ('operator', 'marketplace', 'gone', 'failing', 'restored'));
