import { LabIcon } from '@jupyterlab/ui-components';
import plotSource from '../../style/plot.svg';
import zarrSource from '../../style/zarr.svg';

export const zarrIcon = new LabIcon({ name: 'zlab:zarr', svgstr: zarrSource });
export const plotIcon = new LabIcon({ name: 'zlab:plot', svgstr: plotSource });
