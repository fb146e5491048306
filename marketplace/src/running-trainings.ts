/** The trainings this process is in the middle of, so that a webhook can stop them before it is answered. */
export interface RunningTrainings {
  readonly begin: (datasetId: string) => RunningTraining;
  /** Aborts every training on the dataset; what they were waiting for fails at once. */
  readonly stop: (datasetId: string) => void;
  readonly stopAll: () => void;
}

export interface RunningTraining {
  readonly signal: AbortSignal;
  readonly end: () => void;
}

export function runningTrainings(): RunningTrainings {
  const running = new Map<AbortController, string>();
  const stop = (isMeant: (datasetId: string) => boolean): void => {
    for (const [controller, datasetId] of running) if (isMeant(datasetId)) controller.abort();
  };
  return {
    begin: (datasetId) => {
      const controller = new AbortController();
      running.set(controller, datasetId);
      return { signal: controller.signal, end: () => void running.delete(controller) };
    },
    stop: (datasetId) => stop((running) => running === datasetId),
    stopAll: () => stop(() => true),
  };
}
