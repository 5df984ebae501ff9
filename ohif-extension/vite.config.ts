// Builds the browser's side into gateway/viewer/dist/rr-ext: modules by name, chunks by hash, each with a .gz sibling.
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { gzipTree } from './scripts/gzip.mjs';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const out = at('../gateway/viewer/dist/rr-ext');
const ENTRIES: Record<string, string> = {
  'reading-room': at('src/extension/index.ts'),
  'reading-room-mode': at('src/mode/index.ts'),
  login: at('src/login/main.ts'),
  board: at('src/board/main.tsx'),
  staff: at('src/staff/main.tsx'),
};

export default defineConfig({
  define: { 'process.env.NODE_ENV': JSON.stringify(process.env.VITEST ? 'test' : 'production') },
  publicDir: false,
  plugins: [
    {
      name: 'gzip-siblings',
      apply: 'build',
      async closeBundle() {
        await copyFile(at('src/ui/mark.svg'), `${out}/mark.svg`);
        await gzipTree(out);
      },
    },
  ],
  build: {
    outDir: out,
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: true,
    rollupOptions: {
      input: Object.fromEntries(Object.entries(ENTRIES).filter(([, path]) => existsSync(path))),
      preserveEntrySignatures: 'exports-only',
      output: {
        entryFileNames: '[name].mjs',
        chunkFileNames: 'chunks/[name]-[hash].mjs',
        assetFileNames: '[name][extname]',
      },
    },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'], restoreMocks: true },
});
