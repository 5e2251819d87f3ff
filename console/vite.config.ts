import { fileURLToPath } from 'node:url'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, loadEnv } from 'vite'

const root = fileURLToPath(new URL('.', import.meta.url))

export default defineConfig(({ mode }) => {
  const target = loadEnv(mode, root, 'SLOPBOX_')['SLOPBOX_URL'] ?? 'http://slopbox.localhost:8480'
  // The session cookie belongs to the app's own origin, so the proxied requests have to look like they came from there.
  const proxy = { target, changeOrigin: true, headers: { origin: new URL(target).origin } }
  return {
    root,
    plugins: [react(), tailwindcss()],
    build: {
      outDir: 'dist',
      emptyOutDir: true,
      target: 'es2023',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
    server: { fs: { allow: ['..'] }, proxy: { '/v1': proxy, '/api/auth': proxy, '^/agents/[a-z0-9]+/gateway': proxy } },
  }
})
