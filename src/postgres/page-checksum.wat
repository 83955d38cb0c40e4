;; PostgreSQL's page checksums, several pages a call, with 128-bit vectors.
;;
;; A page is a table of 32-bit words with 32 columns. Each column has a sum that starts from a seed of its own; each word,
;; and then two words of zero, is mixed in:  t = sum ^ word;  sum = t * 16777619 ^ (t >>> 17).  The sums of all columns are
;; xored, the block number too, and the result is brought to 1..65535. The checksum's own field (2 bytes at 8) counts as zero.
;;
;; Eight vectors hold the 32 sums. After a change: node src/postgres/page-checksum-build.mjs
(module
  (memory (export "memory") 5)

  ;; The checksum of the page at $page, whose own checksum field must be zero.
  (func $checksum (param $page i32) (param $size i32) (param $block i32) (result i32)
    (local $end i32) (local $prime v128) (local $t v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128) (local $s4 v128) (local $s5 v128) (local $s6 v128) (local $s7 v128)
    (local.set $prime (i32x4.splat (i32.const 16777619)))
    (local.set $s0 (v128.const i32x4 0x5b1f36e9 0xb8525960 0x02ab50aa 0x1de66d2a))
    (local.set $s1 (v128.const i32x4 0x79ff467a 0x9bb9f8a3 0x217e7cd2 0x83e13d2c))
    (local.set $s2 (v128.const i32x4 0xf8d4474f 0xe39eb970 0x42c6ae16 0x993216fa))
    (local.set $s3 (v128.const i32x4 0x7b093b5d 0x98daff3c 0xf718902a 0x0b1c9cdb))
    (local.set $s4 (v128.const i32x4 0xe58f764b 0x187636bc 0x5d7b3bb1 0xe73de7de))
    (local.set $s5 (v128.const i32x4 0x92bec979 0xcca6c0b2 0x304a0979 0x85aa43d4))
    (local.set $s6 (v128.const i32x4 0x783125bb 0x6ca8eaa2 0xe407eac6 0x4b5cfc3e))
    (local.set $s7 (v128.const i32x4 0x9fbf8c76 0x15ca20be 0xf2ca9fd3 0x959bd756))
    (local.set $end (i32.add (local.get $page) (local.get $size)))
    (loop $row
      (local.set $t (v128.xor (local.get $s0) (v128.load (local.get $page))))
      (local.set $s0 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s1) (v128.load offset=16 (local.get $page))))
      (local.set $s1 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s2) (v128.load offset=32 (local.get $page))))
      (local.set $s2 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s3) (v128.load offset=48 (local.get $page))))
      (local.set $s3 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s4) (v128.load offset=64 (local.get $page))))
      (local.set $s4 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s5) (v128.load offset=80 (local.get $page))))
      (local.set $s5 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s6) (v128.load offset=96 (local.get $page))))
      (local.set $s6 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (local.set $t (v128.xor (local.get $s7) (v128.load offset=112 (local.get $page))))
      (local.set $s7 (v128.xor (i32x4.mul (local.get $t) (local.get $prime)) (i32x4.shr_u (local.get $t) (i32.const 17))))
      (br_if $row (i32.lt_u (local.tee $page (i32.add (local.get $page) (i32.const 128))) (local.get $end))))
    ;; two rows of zero: the xor with them is left out
    (local.set $s0 (v128.xor (i32x4.mul (local.get $s0) (local.get $prime)) (i32x4.shr_u (local.get $s0) (i32.const 17))))
    (local.set $s1 (v128.xor (i32x4.mul (local.get $s1) (local.get $prime)) (i32x4.shr_u (local.get $s1) (i32.const 17))))
    (local.set $s2 (v128.xor (i32x4.mul (local.get $s2) (local.get $prime)) (i32x4.shr_u (local.get $s2) (i32.const 17))))
    (local.set $s3 (v128.xor (i32x4.mul (local.get $s3) (local.get $prime)) (i32x4.shr_u (local.get $s3) (i32.const 17))))
    (local.set $s4 (v128.xor (i32x4.mul (local.get $s4) (local.get $prime)) (i32x4.shr_u (local.get $s4) (i32.const 17))))
    (local.set $s5 (v128.xor (i32x4.mul (local.get $s5) (local.get $prime)) (i32x4.shr_u (local.get $s5) (i32.const 17))))
    (local.set $s6 (v128.xor (i32x4.mul (local.get $s6) (local.get $prime)) (i32x4.shr_u (local.get $s6) (i32.const 17))))
    (local.set $s7 (v128.xor (i32x4.mul (local.get $s7) (local.get $prime)) (i32x4.shr_u (local.get $s7) (i32.const 17))))
    (local.set $s0 (v128.xor (i32x4.mul (local.get $s0) (local.get $prime)) (i32x4.shr_u (local.get $s0) (i32.const 17))))
    (local.set $s1 (v128.xor (i32x4.mul (local.get $s1) (local.get $prime)) (i32x4.shr_u (local.get $s1) (i32.const 17))))
    (local.set $s2 (v128.xor (i32x4.mul (local.get $s2) (local.get $prime)) (i32x4.shr_u (local.get $s2) (i32.const 17))))
    (local.set $s3 (v128.xor (i32x4.mul (local.get $s3) (local.get $prime)) (i32x4.shr_u (local.get $s3) (i32.const 17))))
    (local.set $s4 (v128.xor (i32x4.mul (local.get $s4) (local.get $prime)) (i32x4.shr_u (local.get $s4) (i32.const 17))))
    (local.set $s5 (v128.xor (i32x4.mul (local.get $s5) (local.get $prime)) (i32x4.shr_u (local.get $s5) (i32.const 17))))
    (local.set $s6 (v128.xor (i32x4.mul (local.get $s6) (local.get $prime)) (i32x4.shr_u (local.get $s6) (i32.const 17))))
    (local.set $s7 (v128.xor (i32x4.mul (local.get $s7) (local.get $prime)) (i32x4.shr_u (local.get $s7) (i32.const 17))))
    (local.set $t
      (v128.xor (v128.xor (v128.xor (local.get $s0) (local.get $s1)) (v128.xor (local.get $s2) (local.get $s3))) (v128.xor (v128.xor (local.get $s4) (local.get $s5)) (v128.xor (local.get $s6) (local.get $s7)))))
    (i32.add (i32.const 1) (i32.rem_u
      (i32.xor (local.get $block) (i32.xor
        (i32.xor (i32x4.extract_lane 0 (local.get $t)) (i32x4.extract_lane 1 (local.get $t)))
        (i32.xor (i32x4.extract_lane 2 (local.get $t)) (i32x4.extract_lane 3 (local.get $t)))))
      (i32.const 65535))))

  ;; 1 when the page has a bit that is set, else 0.
  (func $used (param $page i32) (param $size i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $page) (local.get $size)))
    (loop $row
      (if (v128.any_true (v128.or
          (v128.load (local.get $page))
          (v128.load offset=16 (local.get $page))))
        (then (return (i32.const 1))))
      (br_if $row (i32.lt_u (local.tee $page (i32.add (local.get $page) (i32.const 32))) (local.get $end))))
    (i32.const 0))

  ;; Looks at $count pages from $page on; the first one is block $block. A page whose 2 bytes at $empty are zero is new and
  ;; must be zero in all of it; any other must have its checksum. The indexes of the wrong ones go to $out, 32 bits each.
  ;; Returns how many there are. The pages are as they were.
  (func (export "check") (param $page i32) (param $count i32) (param $size i32) (param $block i32) (param $empty i32)
      (param $out i32) (result i32)
    (local $index i32) (local $found i32) (local $stored i32) (local $wrong i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (if (i32.load16_u (i32.add (local.get $page) (local.get $empty)))
          (then
            (local.set $stored (i32.load16_u offset=8 (local.get $page)))
            (i32.store16 offset=8 (local.get $page) (i32.const 0))
            (local.set $wrong (i32.ne
              (local.get $stored)
              (call $checksum (local.get $page) (local.get $size) (i32.add (local.get $block) (local.get $index)))))
            (i32.store16 offset=8 (local.get $page) (local.get $stored)))
          (else
            (local.set $wrong (call $used (local.get $page) (local.get $size)))))
        (if (local.get $wrong)
          (then
            (i32.store (i32.add (local.get $out) (i32.shl (local.get $found) (i32.const 2))) (local.get $index))
            (local.set $found (i32.add (local.get $found) (i32.const 1)))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (local.set $page (i32.add (local.get $page) (local.get $size)))
        (br $next)))
    (local.get $found))

  ;; The checksum that the page at $page ought to have.
  (func (export "checksum") (param $page i32) (param $size i32) (param $block i32) (result i32)
    (local $stored i32) (local $result i32)
    (local.set $stored (i32.load16_u offset=8 (local.get $page)))
    (i32.store16 offset=8 (local.get $page) (i32.const 0))
    (local.set $result (call $checksum (local.get $page) (local.get $size) (local.get $block)))
    (i32.store16 offset=8 (local.get $page) (local.get $stored))
    (local.get $result)))
