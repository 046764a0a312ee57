import { describe, expect, it } from 'vitest';
import { sourceWords } from '../../../js/src/render/words';

describe('words without translations', () => {
  it('fill in their arguments', () => {
    expect(sourceWords.__('%1 of %2, %3', 5, '9')).toBe('5 of 9, %3');
    expect(sourceWords._n('%1 chunk in %2', '%1 chunks in %2', 1, 'a')).toBe('1 chunk in a');
    expect(sourceWords._n('%1 chunk', '%1 chunks', 3)).toBe('3 chunks');
  });
});
