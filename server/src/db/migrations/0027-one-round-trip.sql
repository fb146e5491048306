-- A lock and what is looked at under it, in one round trip. A volatile function looks anew with each
-- of its statements, so what it reads after it has waited is what the one before it committed.

-- The keys that may sign, held together with everybody else who signs until the commit.
create function hold_signing_keys(lock_key bigint) returns setof signing_key language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock_shared(lock_key);
  return query select * from signing_key where status = 'active';
end;
$$;

-- The rows of these paths, locked in the order they come in; those that are missing are made.
create function lock_documents(wanted text[], first_seq bigint)
  returns table (locked_path text, locked_seq bigint) language plpgsql volatile as $$
begin
  insert into document (path, seq) select wish, first_seq from unnest(wanted) as wish on conflict do nothing;
  return query select path, seq from document where path = any (wanted) order by path for update;
end;
$$;

-- Appends to the revocation view and answers the last sequence before. Whoever appends holds the
-- lock until the commit, so that sequences have no gaps and no disorder.
create function append_revocations(lock_key bigint, jtis text[], at_second bigint, until_seconds bigint[])
  returns bigint language plpgsql volatile as $$
declare
  last_sequence bigint;
begin
  perform pg_advisory_xact_lock(lock_key);
  select coalesce(max(sequence), 0) into last_sequence from revocation;
  insert into revocation (sequence, jti, revoked_at, listed_until)
  select last_sequence + place, added_jti, at_second, added_until
    from unnest(jtis, until_seconds) with ordinality as added (added_jti, added_until, place);
  return last_sequence;
end;
$$;
