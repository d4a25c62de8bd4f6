// Makes ../assets, or the directory that is given, of src/: node build.mjs [DIR].
// The same sources and packages give the same bytes.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const to = resolve(process.argv[2] ?? join(here, "..", "assets"));

await rm(to, { recursive: true, force: true });
await mkdir(to, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: to,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none", // see below
  logLevel: "warning",
});
await copyFile(join(here, "src", "index.html"), join(to, "index.html"));

// What the licences of the packages inside ask for.
const inside = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];
const texts = await Promise.all(inside.map((name) => readFile(join(here, "node_modules", name, "LICENSE"), "utf8")));
await writeFile(join(to, "licenses.txt"), inside.map((name, i) => `${name}\n\n${texts[i].trim()}\n`).join("\n\n"));
