/** What edges said they decided. */
export interface EdgeTables {
  edge_batch: {
    client_id: string;
    batch_key: string;
    sha256: string;
    received_at_ms: number;
    accepted: number;
    refused: string;
  };
  edge_event: EdgeEventTable;
}

interface EdgeEventTable {
  received_at_ms: number;
  client_id: string;
  batch_key: string;
  line: number;
  at_ms: number;
  url_sha256: string;
  content_id: string | null;
  dataset_id: string | null;
  license_id: string | null;
  marketplace_id: string | null;
  agent_kind: string;
  agent_name: string;
  decision: "pass" | "refuse";
  code: string | null;
  mode: "observe" | "enforce";
}
