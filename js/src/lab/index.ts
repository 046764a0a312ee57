import { fileTypePlugin } from './file_type';

export default [fileTypePlugin];
