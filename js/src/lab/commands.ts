/** The ids of all commands. */
export const CommandIds = {
  show: 'zlab:show',
  showTelemetry: 'zlab:show-telemetry',
  refresh: 'zlab:refresh',
  addStore: 'zlab:add-store',
  removeStore: 'zlab:remove-store',
  openPath: 'zlab:open-path',
  insertCode: 'zlab:insert-code',
  copyCode: 'zlab:copy-code',
  copyPath: 'zlab:copy-path'
} as const;

/** JSON Schema of the arguments of a command that takes none. */
export const NO_ARGUMENTS = { type: 'object', properties: {} } as const;
