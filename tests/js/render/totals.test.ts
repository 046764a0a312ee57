import { describe, expect, it } from 'vitest';
import { totalsText } from '../../../js/src/render/telemetry_view';
import { sourceWords } from '../../../js/src/render/words';
import { parseFrame } from '../../../js/src/wire/comm';
import { golden } from '../wire/golden';

const [full, blank] = golden('frame').accept.map(parseFrame);

describe('totalsText', () => {
  it('sums up what was read and written, and what went wrong', () => {
    expect(full && totalsText(full, sourceWords)).toBe(
      '512 chunks read · 11.5 MB fetched, 537 MB decoded (46.5 : 1) · 8 written · 1 retry'
    );
    expect(blank && totalsText(blank, sourceWords)).toBe(
      '0 chunks read · 0 B fetched, 0 B decoded'
    );
  });
});
