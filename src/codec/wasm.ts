/** The little of WebAssembly that is used; TypeScript knows it only together with a browser's whole library. */

export interface WasmMemory {
  /** Another one after each growth. */
  readonly buffer: ArrayBuffer;
  /** @param pages of 64 KiB to add */
  grow(pages: number): number;
}

export type WasmImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

interface Wasm {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object, imports: WasmImports) => { readonly exports: object };
}

const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: Wasm };

/** Compiles and starts a module at once. @returns its exports; E says what the caller knows them to be */
export function instantiateWasm<E extends object>(binary: Uint8Array, imports: WasmImports = {}): E {
  return new wasm.Instance(new wasm.Module(binary), imports).exports as E;
}
