import type { Section } from './section';
import { Token } from '@lumino/coreutils';

/** The sidebar, as other plugins of zlab use it. */
export interface IZarrSidebar {
  /** Adds a section at the end. */
  addSection(section: Section): void;
  /** Brings the sidebar, and a section of it, into sight. */
  reveal(section?: Section): void;
}

export const IZarrSidebar = new Token<IZarrSidebar>(
  'zlab:IZarrSidebar',
  'The sidebar of Zarr stores, for sections that other plugins add.'
);
