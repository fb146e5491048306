/** The columns of the tables of rights signals. */
export interface SignalTables {
  signal_dataset: {
    dataset_id: string;
    version: number;
    license_xml: string;
    terms_url: string;
    is_mining: boolean;
  };
  signal_work: {
    dataset_id: string;
    position: number;
    content_id: string;
    jti: string;
    host: string;
    url: string;
    open: string;
  };
  signal_mark: { subject: string; marks: number };
}
