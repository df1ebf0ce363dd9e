package steps

import (
	"maps"
	"slices"
	"strings"
)

// Member is a member of a group. Poll waits a moment at most.
type Member interface {
	Poll() []string
	Held() []int32
	Commit()
	Close()
}

// Story is that of two members of a group that share four partitions: one leaves, the other is restarted.
type Story struct {
	NewMember func() Member
	Produce   func(partition int32, values []string)
	members   []Member
	seen      map[string]int
}

// Tell does the three steps.
func (s *Story) Tell(program *Program) {
	program.Step("two members share", s.TwoShare)
	program.Step("one member leaves", s.OneLeaves)
	program.Step("resume from the commit", s.Resumes)
	defer func() { _ = recover() }()
	s.Close()
}

// TwoShare returns when both have two partitions and all records came.
func (s *Story) TwoShare() {
	s.seen = map[string]int{}
	written := s.write("first", 10)
	s.members = []Member{s.NewMember(), s.NewMember()}
	Until("two partitions for each", func() bool { return s.poll() && s.shared() })
	// Read by whom they were given to: so both have something to commit for each of their partitions.
	written = append(written, s.write("shared", 5)...)
	Until("all records", func() bool { return s.poll() && s.has(written) })
}

// OneLeaves returns when the other has taken its partitions over, from where it committed.
func (s *Story) OneLeaves() {
	Check(len(s.members) == 2, "there are no two members")
	for _, each := range s.members {
		each.Commit()
	}
	s.members[1].Close()
	s.members = s.members[:1]
	s.seen = map[string]int{}
	written := s.write("second", 5)
	Until("all partitions and records for one", func() bool {
		return s.poll() && len(s.members[0].Held()) == 4 && s.has(written)
	})
	s.only("second")
}

// Resumes returns when a member that came back has read what was written since its commit.
func (s *Story) Resumes() {
	Check(len(s.members) == 1, "there is no single member")
	s.members[0].Commit()
	s.members[0].Close()
	s.members = nil
	s.seen = map[string]int{}
	written := s.write("third", 3)
	s.members = []Member{s.NewMember()}
	Until("the new records", func() bool { return s.poll() && s.has(written) })
	s.members[0].Commit()
	s.Close()
	s.only("third")
	for value, times := range s.seen {
		Check(times == 1, "%.40q came %d times", value, times)
	}
}

// Close ends the members that are left.
func (s *Story) Close() {
	members := s.members
	s.members = nil
	for _, each := range members {
		each.Close()
	}
}

func (s *Story) write(kind string, count int) []string {
	var written []string
	for partition := range int32(4) {
		made := Values(count, kind+"-"+string('0'+partition))
		s.Produce(partition, made)
		written = append(written, made...)
	}
	return written
}

func (s *Story) poll() bool {
	for _, each := range s.members {
		for _, value := range each.Poll() {
			s.seen[value]++
		}
	}
	return true
}

func (s *Story) has(written []string) bool {
	return !slices.ContainsFunc(written, func(value string) bool { return s.seen[value] == 0 })
}

func (s *Story) shared() bool {
	held := map[int32]bool{}
	for _, each := range s.members {
		if len(each.Held()) != 2 {
			return false
		}
		for _, partition := range each.Held() {
			held[partition] = true
		}
	}
	return len(held) == 4
}

func (s *Story) only(kind string) {
	for _, value := range slices.Sorted(maps.Keys(s.seen)) {
		Check(strings.HasPrefix(value, kind), "a committed record was read again: %.40q", value)
	}
}
