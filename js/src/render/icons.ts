/** Small drawings in the colour of the text around them. */

const SVG = 'http://www.w3.org/2000/svg';

const PATHS = {
  array: 'M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z',
  group:
    'M1.5 3.5A1 1 0 0 1 2.5 2.5h3.6l1.6 1.8h5.8a1 1 0 0 1 1 1v7.2a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1z',
  closed: 'M6 4l4 4-4 4z',
  open: 'M4 6h8l-4 4z',
  fault: 'M8 1.5l7 12.5H1zM7.3 6v4h1.4V6zM7.3 11v1.5h1.4V11z',
  remove: 'M4 4.9L4.9 4 8 7.1 11.1 4l.9.9L8.9 8l3.1 3.1-.9.9L8 8.9 4.9 12l-.9-.9L7.1 8z'
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', `zlab-Icon zlab-Icon-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  path.setAttribute('fill-rule', 'evenodd');
  svg.append(path);
  return svg;
}
