import { sql } from "kysely";
import type { Trx } from "../db/open-database.ts";
import type { Cause } from "./cause-store.ts";

/** Accounts, and datasets, that one run compares: some thousands of each, so that every one has its turn. */
const SLICE = 5_000;

/**
 * Sums that the database keeps and that are not what they are kept of: an account's balance or month
 * and its entries, a version's weights and its lines. A run looks at a part of them, the next one at
 * the next part, and each at what a finding tells of.
 */
export async function findWrongSums(trx: Trx, limit: number): Promise<readonly Cause[]> {
  const { rows } = await sql<Cause>`
    with turn as (
      select (select count(*) from reconciliation) as run,
             (select coalesce(max(account_id), 0) / ${SLICE}::int + 1 from ledger_account) as of_accounts,
             (select count(*) / ${SLICE}::int + 1 from dataset) as of_datasets
    ), account as (
      select account_id, kind, owner, currency from ledger_account, turn
       where account_id / ${SLICE}::int = run % of_accounts
          or exists (select from finding where finding.kind = 'kept_sums_differ' and finding.state <> 'closed'
                        and finding.subject = 'account/' || account_id)
    ), summed as (
      select account.*, coalesce(balance.balance, 0) as kept,
             coalesce((select sum(amount) from ledger_entry entry where entry.account_id = account.account_id), 0) as entries,
             (select min(month_at)
                from (select month.month_at, month.amount from account_month month where month.account_id = account.account_id) kept
                full join (select month_at(transaction.value_at) as month_at, sum(entry.amount) as amount
                             from ledger_entry entry join ledger_transaction transaction using (transaction_id)
                            where entry.account_id = account.account_id group by 1) added using (month_at)
               where coalesce(kept.amount, 0) <> coalesce(added.amount, 0)) as month_at
        from account left join account_balance balance using (account_id)
    ), version as (
      select dataset_id, version from dataset_version, turn
       where abs(hashtext(dataset_id)::bigint) % of_datasets = run % of_datasets
          or exists (select from finding where finding.kind = 'kept_sums_differ' and finding.state <> 'closed'
                        and finding.subject = 'version/' || dataset_id || '/' || version)
    ), added as (
      select item.dataset_id, item.version, item.creator_id, count(*) as items,
             coalesce(sum((item::json ->> 'token_count')::numeric), 0) as tokens,
             coalesce(sum((item::json ->> 'length_ms')::numeric), 0) as seconds,
             coalesce(sum((item::json ->> 'size_bytes')::numeric), 0) as bytes
        from dataset_item item join version using (dataset_id, version) group by 1, 2, 3
    ), kept as (
      select weight.* from creator_weight weight join version using (dataset_id, version)
    ), found as (
      select 'account/' || account_id as subject,
             json_build_object('reason', case when kept <> entries then 'balance' else 'month' end, 'account_id', account_id,
                               'kind', kind, 'owner', owner, 'currency', currency, 'kept_micros', kept::text,
                               'entries_micros', entries::text, 'month_at', month_at)::text as detail
        from summed where kept <> entries or month_at is not null
      union all
      select 'version/' || dataset_id || '/' || version,
             json_build_object('reason', 'weights', 'dataset_id', dataset_id, 'version', version,
                               'creators', count(*))::text
        from kept full join added using (dataset_id, version, creator_id)
       where (kept.items, kept.tokens, kept.seconds, kept.bytes)
             is distinct from (added.items, added.tokens, added.seconds, added.bytes)
       group by dataset_id, version
    )
    select subject, detail from found order by subject collate "C" limit ${limit}`.execute(trx);
  return rows;
}
