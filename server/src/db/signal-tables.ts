/** The columns of the tables of rights signals. */
export interface SignalTables {
  signal_dataset: {
    dataset_id: string;
    version: number;
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
    license_xml: string;
    is_mining: boolean;
  };
  signal_mark: { subject: string; marks: number };
}
