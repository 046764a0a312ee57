/** The part of JupyterLab's translation bundle that is used here; `%1` stands for an argument. */
export interface Words {
  __(text: string, ...args: (string | number)[]): string;
  _n(one: string, many: string, count: number, ...args: (string | number)[]): string;
}

function fill(text: string, args: readonly (string | number)[]): string {
  return text.replace(/%(\d)/g, (mark, position: string) => {
    const value = args[Number(position) - 1];
    return value === undefined ? mark : String(value);
  });
}

/** The words as they stand in the source, for pages without JupyterLab's translations. */
export const sourceWords: Words = {
  __: (text, ...args) => fill(text, args),
  _n: (one, many, count, ...args) => fill(count === 1 ? one : many, [count, ...args])
};
