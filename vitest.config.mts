import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    restoreMocks: true,
    projects: [
      // Without a DOM, so that nothing of it creeps in.
      {
        extends: true,
        test: {
          name: 'logic',
          environment: 'node',
          include: ['tests/js/{wire,model,lab}/*.test.ts']
        }
      },
      {
        extends: true,
        test: {
          name: 'views',
          environment: 'happy-dom',
          include: ['tests/js/{render,widgets}/*.test.ts']
        }
      }
    ]
  }
});
