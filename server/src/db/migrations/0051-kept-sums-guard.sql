-- Sums are kept by the trigger on entries alone: whatever else writes them would make them untrue.
create function refuse_direct_write() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() < 2 then
    raise exception '% is kept by the database: only entries change it', tg_table_name
      using errcode = 'integrity_constraint_violation';
  end if;
  return null;
end $$;

create trigger kept before insert or update or delete on account_balance for each statement execute function refuse_direct_write();
create trigger kept before insert or update or delete on account_month for each statement execute function refuse_direct_write();
create trigger kept_truncate before truncate on account_balance for each statement execute function refuse_change();
create trigger kept_truncate before truncate on account_month for each statement execute function refuse_change();
