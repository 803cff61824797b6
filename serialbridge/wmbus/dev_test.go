package wmbus
import ("testing";"encoding/json";"encoding/hex";"os";"fmt";"sort";"time";"lintel/serialbridge/drivertest")
func TestDev(t *testing.T){
 data,_:=os.ReadFile("testdata/telegrams.json")
 var f struct{Vectors []struct{Hex,Key string; Expect map[string]any}}
 json.Unmarshal(data,&f)
 for i,v:=range f.Vectors{
  b,_:=hex.DecodeString(v.Hex)
  r:=&drivertest.Recorder{}
  o:=Options{}
  if v.Key!="" {o.Keys=map[string]string{v.Expect["id"].(string):v.Key}}
  d:=newDecoder(r,o); d.opener.clear=true
  d.telegram(frame{telegram:b[1:],checked:true},time.Unix(0,0))
  fmt.Println(i,v.Expect["meter"],v.Expect["id"],r.Damage,r.Overheard,r.Disorder)
  for _,x:=range r.Announcements {fmt.Println("   ",x.ID,x.Name,"|",x.Vendor,"|",x.Model)}
  for _,x:=range r.Readings { ks:=[]string{}; for k:=range x.Values{ks=append(ks,k)}; sort.Strings(ks); for _,k:=range ks{fmt.Print("  ",k,"=",x.Values[k])}; fmt.Println()}
  e,_:=json.Marshal(v.Expect); fmt.Println("    EXP",string(e))
 }
}
