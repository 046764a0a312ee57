import { LabIcon } from '@jupyterlab/ui-components';
import zarrSource from '../../style/zarr.svg';

export const zarrIcon = new LabIcon({ name: 'zlab:zarr', svgstr: zarrSource });
