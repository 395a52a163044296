// Reads numpy's .npz files: ZIP archives of .npy arrays.
'use strict';
const fs = require('node:fs');
const zlib = require('node:zlib');

const ARRAYS = {
  'b1': Uint8Array, 'u1': Uint8Array, 'i4': Int32Array, 'i8': BigInt64Array, 'f4': Float32Array, 'f8': Float64Array,
};

// {dtype, shape, data} of the bytes of a .npy file; dtype is numpy's code without the byte order.
function readNpy(bytes) {
  const long = bytes[6] >= 2;  // the major version
  const start = long ? 12 : 10;
  const end = start + (long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.toString('latin1', start, end);
  const [, dtype] = /'descr': '[<|]([a-z]\d)'/.exec(header);
  if (!header.includes("'fortran_order': False")) throw new Error(`not in row-major order: ${header}`);
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(',').filter((part) => part.trim()).map(Number);
  // A copy, so that the typed array is aligned.
  return {dtype, shape, data: new ARRAYS[dtype](new Uint8Array(bytes.subarray(end)).buffer)};
}

// The arrays of a .npz file, by the names of its members.
function readNpz(path) {
  const file = fs.readFileSync(path);
  const end = file.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  const arrays = {};
  let entry = file.readUInt32LE(end + 16);
  for (let count = file.readUInt16LE(end + 10); count > 0; --count) {
    const nameLength = file.readUInt16LE(entry + 28);
    const name = file.toString('utf8', entry + 46, entry + 46 + nameLength);
    const local = file.readUInt32LE(entry + 42);
    const start = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
    const stored = file.subarray(start, start + file.readUInt32LE(entry + 20));
    const deflated = file.readUInt16LE(entry + 10) === 8;
    arrays[name.replace(/\.npy$/, '')] = readNpy(deflated ? zlib.inflateRawSync(stored) : stored);
    entry += 46 + nameLength + file.readUInt16LE(entry + 30) + file.readUInt16LE(entry + 32);
  }
  return arrays;
}

module.exports = {readNpz};
