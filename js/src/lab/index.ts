import { browserPlugin } from './browser_plugin';
import { fileTypePlugin } from './file_type_plugin';
import { telemetryPlugin } from './telemetry_plugin';

export default [browserPlugin, telemetryPlugin, fileTypePlugin];
