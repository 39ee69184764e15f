// Prints vectors.json: trees, proofs, tiles, notes and proof files as the Go tools make them.
// See README.md.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const large = 70000

type root struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}
type inclusion struct {
	Index int64    `json:"index"`
	Size  int64    `json:"size"`
	Proof []string `json:"proof"`
}
type consistency struct {
	From  int64    `json:"from"`
	To    int64    `json:"to"`
	Proof []string `json:"proof"`
}
type tile struct {
	Path   string `json:"path"`
	Level  int    `json:"level"`
	Index  int64  `json:"index"`
	Width  int    `json:"width"`
	Sha256 string `json:"sha256"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
func check(err error) {
	if err != nil {
		panic(err)
	}
}
func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
func strings(hashes []tlog.Hash) []string {
	list := []string{}
	for _, h := range hashes {
		list = append(list, b64(h[:]))
	}
	return list
}
func slices(hashes []tlog.Hash) [][]byte {
	list := [][]byte{}
	for _, h := range hashes {
		list = append(list, append([]byte{}, h[:]...))
	}
	return list
}
func entry(i int64) []byte { return []byte(fmt.Sprintf("entry %d", i)) }

// skey is a note's private key of a fixed seed, in the form that note.NewSigner reads.
func skey(name string, seed []byte) (string, ed25519.PublicKey) {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	sum := sha256.Sum256(append([]byte(name+"\n\x01"), public...))
	return "PRIVATE+KEY+" + name + "+" + hex.EncodeToString(sum[:4]) + "+" + b64(append([]byte{1}, seed...)), public
}

func main() {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := []tlog.Hash{}
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for i := int64(0); i < large; i++ {
		stored = append(stored, must(tlog.StoredHashes(i, entry(i), reader))...)
	}
	treeHash := func(size int64) tlog.Hash { return must(tlog.TreeHash(size, reader)) }
	hasher := rfc6962.DefaultHasher

	roots := []root{}
	for _, size := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 255, 256, 257, 65535, 65536, 65537, large} {
		h := treeHash(size)
		roots = append(roots, root{size, b64(h[:])})
	}

	inclusions := []inclusion{}
	include := func(index, size int64) {
		p := must(tlog.ProveRecord(size, index, reader))
		h := treeHash(size)
		check(proof.VerifyInclusion(hasher, uint64(index), uint64(size), hasher.HashLeaf(entry(index)), slices(p), h[:]))
		inclusions = append(inclusions, inclusion{index, size, strings(p)})
	}
	consistencies := []consistency{}
	extend := func(from, to int64) {
		p := must(tlog.ProveTree(to, from, reader))
		old, h := treeHash(from), treeHash(to)
		check(proof.VerifyConsistency(hasher, uint64(from), uint64(to), slices(p), old[:], h[:]))
		consistencies = append(consistencies, consistency{from, to, strings(p)})
	}
	for size := int64(1); size <= 17; size++ {
		for index := int64(0); index < size; index++ {
			include(index, size)
			extend(index+1, size)
		}
	}
	for _, index := range []int64{0, 255, 256, 65535, 65536, 69887, 69888, large - 1} {
		include(index, large)
		extend(index+1, large)
	}

	tiles := []tile{}
	for _, t := range tlog.NewTiles(8, 0, large) {
		if t.L == 0 && t.N > 1 && t.N < 272 {
			continue
		}
		data := must(tlog.ReadTileData(t, reader))
		sum := sha256.Sum256(data)
		tiles = append(tiles, tile{torchwood.TilePath(t), t.L, t.N, t.W, hex.EncodeToString(sum[:])})
	}
	paths := map[string]tlog.Tile{}
	for _, t := range []tlog.Tile{
		{H: 8, L: 0, N: 0, W: 256}, {H: 8, L: 0, N: 999, W: 256}, {H: 8, L: 1, N: 1000, W: 1},
		{H: 8, L: 0, N: 1234067, W: 256}, {H: 8, L: 2, N: 1234067, W: 112},
		{H: 8, L: -1, N: 1234067, W: 256}, {H: 8, L: -1, N: 273, W: 112},
	} {
		paths[torchwood.TilePath(t)] = t
	}
	bundle := []byte{}
	for i := int64(0); i < 5; i++ {
		bundle = must(torchwood.AppendTileEntry(bundle, entry(i)))
	}

	origin := "log.example/holdfast"
	seed := bytes.Repeat([]byte{7}, 32)
	private, public := skey(origin, seed)
	signer := must(note.NewSigner(private))
	vkey := must(note.NewEd25519VerifierKey(origin, public))
	h := treeHash(large)
	text := torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: large, Hash: h}}.String()
	checkpoint := must(note.Sign(&note.Note{Text: text}, signer))

	witnessSeed := bytes.Repeat([]byte{9}, 32)
	witness := must(torchwood.NewCosignatureSigner("witness.example/w1", ed25519.NewKeyFromSeed(witnessSeed)))
	cosigned := must(note.Sign(&note.Note{Text: text}, signer, witness))
	stranger, _ := skey("stranger.example", bytes.Repeat([]byte{5}, 32))
	many := must(note.Sign(&note.Note{Text: text}, must(note.NewSigner(stranger)), signer))

	p := must(tlog.ProveRecord(large, 69888, reader))
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"roots": roots, "inclusions": inclusions, "consistencies": consistencies, "tiles": tiles, "paths": paths,
		"bundle": b64(bundle), "origin": origin, "seed": b64(seed), "vkey": vkey,
		"checkpoint": string(checkpoint), "cosigned": string(cosigned), "withStranger": string(many),
		"witness":        witness.Verifier().String(),
		"proof":          string(torchwood.FormatProof(69888, p, checkpoint)),
		"proofWithExtra": string(torchwood.FormatProofWithExtraData(69888, []byte("receipt"), p, checkpoint)),
		"proofIndex":     69888,
	})
}
