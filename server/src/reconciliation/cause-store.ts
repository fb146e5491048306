import { type RawBuilder, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";

/** Something that does not fit together: what it is about, and what a person needs to know, as JSON. */
export interface Cause {
  readonly subject: string;
  readonly detail: string;
}

/** Causes of one kind that are taken in, in the order of their subjects; beyond it there is a sorry state that needs more than a list. */
export const MAX_CAUSES = 10_000;

/** What is looked for by time. Seconds since the epoch. */
export interface Looked {
  readonly now: number;
  readonly seconds: number;
}

/** Looks through tables of any size, as they are at one instant: no statement is stopped for taking long. */
export async function lookPatiently<T>(db: Db, look: (trx: Trx) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute(async (trx) => {
      await sql`set transaction read only`.execute(trx);
      await sql`set local statement_timeout = 0`.execute(trx);
      return look(trx);
    });
}

/** In bytewise order of subjects, so that it is the same on both engines; one more than the limit. */
async function readCauses(trx: Trx, found: RawBuilder<unknown>): Promise<readonly Cause[]> {
  const { rows } = await sql<Cause>`
    select subject, to_json(about)::text as detail
      from (${found}) as found (subject, about)
     order by subject collate "C" limit ${MAX_CAUSES + 1}`.execute(trx);
  return rows;
}

/** Licenses that stood for so long and were never reported under. */
export async function findUnreportedLicenses(trx: Trx, { now, seconds }: Looked): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select license_id, json_build_object('license_id', license_id, 'marketplace_id', marketplace_id,
                             'dataset_id', dataset_id, 'model_id', model_id, 'state', state, 'issued_at', issued_at)
          from license
         where issued_at <= ${now - seconds} and coalesce(ended_at, ${now}::bigint) - issued_at >= ${seconds}
           and not exists (select from usage_receipt receipt where receipt.license_id = license.license_id)`,
  );
}

/**
 * Receipts without a license, or of use that no license allowed: after its end, or of what was taken
 * back. They are there for good, so only those that no finding tells of are looked for.
 */
export async function findUnlicensedReceipts(trx: Trx): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select marketplace_id || '/' || receipt_id,
               json_build_object('receipt_id', receipt_id, 'marketplace_id', marketplace_id, 'dataset_id', dataset_id,
                                 'dataset_version', dataset_version, 'license_id', license_id, 'flags', flags,
                                 'accepted_at', accepted_at)
          from usage_receipt
         where (license_id is null or flags like '%license_ended%' or flags like '%after_revocation%')
           and not exists (select from finding
                            where finding.kind = 'receipt_without_license' and finding.state <> 'closed'
                              and finding.subject = usage_receipt.marketplace_id || '/' || usage_receipt.receipt_id)`,
  );
}

/**
 * Marketplaces that read a dataset's items, so long ago that it should have led to something, and have
 * no license that stood then or later and no receipt since. What a finding says already is known
 * although the interaction log has forgotten it.
 */
export async function findUnreportedReads(trx: Trx, { now, seconds }: Looked): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select dataset_id || '/' || marketplace_id,
               json_build_object('marketplace_id', marketplace_id, 'dataset_id', dataset_id, 'reads', sum(reads),
                                 'first_read_at', min(first_at), 'last_read_at', max(last_at))
          from (select marketplace_id, dataset_id, min(at_ms) / 1000 as first_at, max(at_ms) / 1000 as last_at,
                       count(*) as reads
                  from interaction
                 where route = '/datasets/{id}/versions/{version}/items' and caller_kind = 'marketplace'
                   and status < 300 and at_ms <= ${(now - seconds) * 1_000} and dataset_id is not null
                 group by marketplace_id, dataset_id
                union all
                select detail::json ->> 'marketplace_id', detail::json ->> 'dataset_id',
                       (detail::json ->> 'first_read_at')::bigint, (detail::json ->> 'last_read_at')::bigint, 0
                  from finding where kind = 'fetches_without_receipt' and state <> 'closed') item_read
         group by dataset_id, marketplace_id
        having not exists (select from license
                            where license.dataset_id = item_read.dataset_id
                              and license.marketplace_id = item_read.marketplace_id
                              and coalesce(license.ended_at, license.expires_at) >= max(item_read.last_at))
           and not exists (select from usage_receipt receipt
                            where receipt.dataset_id = item_read.dataset_id
                              and receipt.marketplace_id = item_read.marketplace_id
                              and receipt.accepted_at >= max(item_read.last_at))`,
  );
}

/**
 * Licenses under which works were fetched through an edge, so long ago that it should have led to
 * something, and no receipt came since. What a finding says already is known although the edge's events are forgotten.
 */
export async function findUnreportedFetches(trx: Trx, { now, seconds }: Looked): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select fetched.license_id,
               json_build_object('license_id', fetched.license_id, 'marketplace_id', license.marketplace_id,
                                 'dataset_id', license.dataset_id, 'model_id', license.model_id,
                                 'fetches', sum(fetches), 'first_fetch_at', min(first_at), 'last_fetch_at', max(last_at))
          from (select license_id, min(at_ms) / 1000 as first_at, max(at_ms) / 1000 as last_at, count(*) as fetches
                  from edge_event
                 where decision = 'pass' and license_id is not null and at_ms <= ${(now - seconds) * 1_000}
                 group by license_id
                union all
                select detail::json ->> 'license_id', (detail::json ->> 'first_fetch_at')::bigint,
                       (detail::json ->> 'last_fetch_at')::bigint, 0
                  from finding where kind = 'edge_fetches_without_receipt' and state <> 'closed') fetched
          join license on license.license_id = fetched.license_id
         group by fetched.license_id, license.marketplace_id, license.dataset_id, license.model_id
        having not exists (select from usage_receipt receipt
                            where receipt.license_id = fetched.license_id and receipt.accepted_at >= max(fetched.last_at))`,
  );
}

/** Charges whose receipt is missing, unless they are reversed; and receipts whose charge is missing, or another. */
export async function findUnprovenMoney(trx: Trx): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select 'transaction/' || transaction.transaction_id,
               json_build_object('reason', 'receipt_missing', 'transaction_id', transaction.transaction_id,
                                 'reference', transaction.reference, 'value_at', transaction.value_at)
          from ledger_transaction transaction
         where transaction.kind = 'usage_charge'
           and not exists (select from usage_receipt receipt
                            where receipt.marketplace_id = split_part(transaction.reference, '/', 1)
                              and receipt.receipt_id = split_part(transaction.reference, '/', 2))
           and not exists (select from ledger_transaction reversal where reversal.reverses = transaction.transaction_id)
        union all
        select 'receipt/' || receipt.marketplace_id || '/' || receipt.receipt_id,
               json_build_object('reason', case when charge.transaction_id is null then 'charge_missing' else 'charge_differs' end,
                                 'receipt_id', receipt.receipt_id, 'marketplace_id', receipt.marketplace_id,
                                 'dataset_id', receipt.dataset_id, 'charged_micros', receipt.charged_micros::text,
                                 'ledger_micros', charge.amount::text, 'currency', receipt.currency,
                                 'accepted_at', receipt.accepted_at)
          from usage_receipt receipt
          left join (select transaction.reference, transaction.transaction_id, entry.amount
                       from ledger_transaction transaction
                       join ledger_entry entry using (transaction_id)
                       join ledger_account account on account.account_id = entry.account_id and account.kind = 'marketplace'
                      where transaction.kind = 'usage_charge') charge
            on charge.reference = receipt.marketplace_id || '/' || receipt.receipt_id
         where coalesce(charge.amount, 0) <> receipt.charged_micros`,
  );
}

/**
 * Pools that still hold something from before the end of the newest month that is closed, or of one
 * that should be, by the rule of `splitPool`: an early split may have shared it out already. And pools
 * that owe. Seconds since the epoch.
 */
export async function findUnsplitPools(
  trx: Trx,
  { closedUntil, dueUntil }: { readonly closedUntil: number; readonly dueUntil: number },
): Promise<readonly Cause[]> {
  return readCauses(
    trx,
    sql`select owner || '/' || currency,
               json_build_object('reason', case when balance < 0 then 'negative' when least(balance, closed) > 0 then 'closed_month'
                                                else 'overdue' end,
                                 'pool', owner, 'currency', currency, 'balance_micros', balance::text,
                                 'unsplit_micros', least(balance, due)::text)
          from (select account.owner, account.currency, -sum(entry.amount) as balance,
                       -coalesce(sum(entry.amount) filter (where transaction.value_at < ${closedUntil}), 0) as closed,
                       -coalesce(sum(entry.amount) filter (where transaction.value_at < ${Math.max(closedUntil, dueUntil)}), 0) as due
                  from ledger_account account
                  join ledger_entry entry using (account_id)
                  join ledger_transaction transaction using (transaction_id)
                 where account.kind = 'pool' group by account.account_id) pool
         where balance < 0 or least(balance, due) > 0`,
  );
}
