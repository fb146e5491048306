import type { FindingKind } from "../db/reporting-tables.ts";

/** What each kind means, and what a person does about it. */
export const ADVICE: Readonly<Record<FindingKind, { readonly title: string; readonly todo: string }>> = {
  license_never_reported: {
    title: "Licenses that nothing was ever reported under",
    todo: "Ask the marketplace for its receipts (LICET_UNREPORTED_DAYS says how long it had), or revoke the license if the model is not made after all. The finding closes with the first receipt.",
  },
  receipt_without_license: {
    title: "Use that no license allowed",
    todo: "Read the receipt and its flags: license_ended is use after the license's end, after_revocation is use of what was taken back, no license_id is a receipt from before there were licenses. Speak with the marketplace, demand a remediation where one is due, and resolve the finding with a note: a receipt is there for good.",
  },
  fetches_without_receipt: {
    title: "Datasets that were read and not reported",
    todo: "Ask the marketplace what it did with the works (GET /api/v1/interactions has its calls). The finding closes once it has a license or reports use; resolve it with a note if it only looked.",
  },
  edge_fetches_without_receipt: {
    title: "Works that were fetched through the edge and not reported",
    todo: "Ask the marketplace for its receipts: under its license works were fetched, and no receipt came since. The finding closes with the first one; resolve it with a note if nothing was made of them.",
  },
  money_without_receipt: {
    title: "Money and receipts that do not fit together",
    todo: "receipt_missing: reverse the charge (POST /api/v1/ledger/transactions/{id}/reversal) unless a restore is to bring the receipt back. charge_missing and charge_differs: nothing in the software writes one without the other, so compare with a backup before anything else.",
  },
  pools_not_split: {
    title: "Pools that are not shared out",
    todo: "overdue: close the month (POST /api/v1/ledger/periods/{period}/close). closed_month: something was posted into a month after its close; the next close shares it out. negative: more was taken back than came in; it waits for new charges, or the difference is yours to settle.",
  },
  rollup_differs: {
    title: "Reports that say something else than receipts and ledger",
    todo: "Count them anew: licet analytics rebuild. If they differ again, receipts or ledger were changed by hand.",
  },
  kept_sums_differ: {
    title: "Sums that are not what they are kept of",
    todo: "Nothing in the software writes them but the database itself, so the data was changed by hand or damaged: compare with a backup before anything is paid out. account: its balance or the month at month_at is not what its entries add up to. version: what its creators weigh is not what its lines add up to; close no month until it is.",
  },
};
