import svelte from "eslint-plugin-svelte";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default defineConfig(
  { ignores: ["node_modules/", "src/lib/api/schema.d.ts", "dev/shots/"] },
  { files: ["src/**/*.ts", "vite.config.ts"], extends: [tseslint.configs.strictTypeChecked] },
  { files: ["src/**/*.svelte"], extends: [tseslint.configs.strict] },
  svelte.configs.recommended,
  {
    plugins: { "@typescript-eslint": tseslint.plugin },
    languageOptions: { parserOptions: { projectService: true, extraFileExtensions: [".svelte"] } },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      "prefer-const": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // Sets here are replaced, never changed: the state that holds them is raw.
      "svelte/prefer-svelte-reactivity": "off",
      // Svelte drops white space at the ends of a block; {" "} keeps it.
      "svelte/no-useless-mustaches": "off",
    },
  },
  {
    files: ["src/**/*.svelte", "src/**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: tseslint.parser, svelteConfig } },
  },
  { files: ["src/**/*.test.ts"], rules: { "@typescript-eslint/require-await": "off" } },
  {
    files: ["**/*.js", "dev/**"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { parserOptions: { projectService: false } },
    rules: { "no-console": "off" },
  },
);
